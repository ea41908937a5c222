import { createInterface } from 'node:readline';

/**
 * Runs as often as each line of standard input says and answers what that took, until it ends.
 *
 * @param run one clip, or one round of products
 * @param version of what is measured
 */
export async function answerTurns(run: () => Promise<unknown>, version: string): Promise<void> {
  await run();
  say({ ready: true, version });
  for await (const line of createInterface({ input: process.stdin })) {
    const { runs } = JSON.parse(line) as { runs: number };
    const before = process.cpuUsage();
    for (let number = 0; number < runs; number += 1) await run();
    const { user, system } = process.cpuUsage(before);
    say({ cpuSeconds: (user + system) / 1e6 });
  }
}

function say(reply: object): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
