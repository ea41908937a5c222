import type { OpenApiDocument } from '../http/openapi-document.js';
import { flagsOf, toFlag } from './arguments.js';

/** What `earshot --help` says. */
export function helpText(openApi: OpenApiDocument): string {
  const tags = flagsOf('createTags', openApi);
  const events = flagsOf('createEvents', openApi).filter(
    (name) => !tags.includes(name) && name !== 'include',
  );
  return `earshot ${openApi.info.version}: what can be heard in recordings

  earshot tag FILE|FOLDER...   tags of each file; of a folder all files that are audio, by their content
  earshot serve                the HTTP service, as npm start
  earshot models               the models in MODELS_DIR
  earshot --help | --version

earshot tag
  --model NAME            of MODELS_DIR (default: MODEL, or the only one there)
  --format FORMAT         ndjson, csv or json (default: by the name of --out, else ndjson)
  -o, --out FILE          write there; a second run goes on where the first one stopped
  --overwrite             begin --out and --embeddings anew
  --events                events with their times, too; hears each file a second time
  --embeddings OUT.npy    one vector of unit length per file; OUT.npy.csv says whose row is whose
  -q, --quiet             neither bar nor summary
${flagLines('as in POST /v1/tags:', tags)}
${flagLines('with --events, as in POST /v1/events:', events)}

Exit codes: 0 all answered, 1 some failed, 2 wrong arguments, 130 stopped.
Environment: MODELS_DIR, MODEL, ENGINES, EXECUTION_PROVIDER and others, see docs/configuration.md.
`;
}

function flagLines(title: string, names: readonly string[]): string {
  const lines = [''];
  for (const flag of names.map((name) => `--${toFlag(name)}`)) {
    const longer = `${lines.at(-1)} ${flag}`;
    if (longer.length > 76) lines.push(` ${flag}`);
    else lines[lines.length - 1] = longer;
  }
  return [`  ${title}`, ...lines.map((line) => `   ${line}`)].join('\n');
}
