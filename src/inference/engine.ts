/**
 * Entry of an engine process: opens the graphs of a model, runs one batch at a time, ends with its parent.
 *
 * It is a process of its own because `session.run()` holds its thread until it is done and can
 * only be stopped by ending the process; see docs/decisions/0001-engine-processes.md.
 */
import { workInBackground } from '../background-priority.js';
import type { EngineCommand, EngineReply } from './engine-messages.js';
import { type ModelSession, openGraphs } from './session.js';

let session: ModelSession | undefined;
// Commands are obeyed one after another: `close` must not release a session with a run ahead of it.
let work: Promise<void> = Promise.resolve();

workInBackground();
process.on('message', (command: EngineCommand) => {
  work = work.then(() => obey(command));
});
// The parent is gone: nobody wants the rows. Reaches us after the run in hand at the latest.
process.on('disconnect', () => process.exit(0));
process.on('error', () => process.exit(1));
// Ctrl-C goes to the whole process group; the parent drains first and then asks us to close.
// SIGTERM has no handler on purpose: one in JavaScript would wait for the run in hand.
process.on('SIGINT', () => {});

async function obey(command: EngineCommand): Promise<void> {
  if (command.type === 'close') return end();
  try {
    reply(command.type === 'load' ? await load(command) : await run(command));
  } catch (error) {
    reply({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
}

async function load({ spec }: EngineCommand & { type: 'load' }): Promise<EngineReply> {
  session = await openGraphs(spec);
  return { type: 'loaded' };
}

async function run({ batch, outputs }: EngineCommand & { type: 'run' }): Promise<EngineReply> {
  if (session === undefined) throw new Error('Expected load before run');
  return { type: 'ran', output: await session.run(batch, outputs) };
}

async function end(): Promise<void> {
  await session?.release();
  process.exit(0);
}

function reply(message: EngineReply): void {
  process.send?.(message, undefined, {}, (error: Error | null) => {
    if (error !== null) process.exit(1);
  });
}
