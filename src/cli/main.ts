import { loadOpenApi } from '../http/openapi-document.js';
import { EXIT } from './exit-codes.js';
import { helpText } from './help.js';
import { modelsCommand } from './models-command.js';
import { tagCommand } from './tag-command.js';

const { stdout, stderr } = process;
const stopping = new AbortController();
// Once: a second Ctrl-C ends the process at once.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stopping.abort(new Error(`Stopped by ${signal}`)));
}
// Whoever reads the output has enough of it, as `head` does.
stdout.on('error', () => process.exit(EXIT.someFailed));

try {
  process.exitCode = await obey(process.argv.slice(2));
} catch (error) {
  stderr.write(`earshot: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = EXIT.usage;
}

async function obey([command, ...args]: readonly string[]): Promise<number> {
  if (command === 'tag' && !asksForHelp(args)) {
    return tagCommand(args, { stdout, stderr, signal: stopping.signal });
  }
  if (command === 'models' && args.length === 0) return modelsCommand({ stdout });
  if (command === 'serve' && args.length === 0) return serve();
  const openApi = await loadOpenApi();
  if (command === '--version') {
    stdout.write(`${openApi.info.version}\n`);
    return EXIT.ok;
  }
  if (command === 'help' || asksForHelp([command ?? '', ...args])) {
    stdout.write(helpText(openApi));
    return EXIT.ok;
  }
  const problem = command === undefined ? 'got none' : `got ${[command, ...args].join(' ')}`;
  stderr.write(`earshot: expected tag, serve or models, ${problem}; see earshot --help\n`);
  return EXIT.usage;
}

function asksForHelp(args: readonly string[]): boolean {
  return args.includes('--help') || args.includes('-h');
}

/** The service takes over signals and exit code. */
async function serve(): Promise<number> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeAllListeners(signal);
  await import('../main.js');
  return EXIT.ok;
}
