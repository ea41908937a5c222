/** What can be heard in recordings, and when: `npx tsx examples/tag.ts FILE...` */
import { openAsBlob } from 'node:fs';
import { Earshot, EarshotError } from '../clients/typescript/earshot-client.js';

const { EARSHOT_URL: url = 'http://localhost:8080', EARSHOT_API_KEY: apiKey } = process.env;
const earshot = new Earshot({ url, apiKey });

for (const path of process.argv.slice(2)) {
  try {
    const clip = await openAsBlob(path);
    const [{ tags = [] }, { events }] = await Promise.all([
      earshot.tag(clip, { top_k: 3 }),
      earshot.events(clip, { max_events: 3 }),
    ]);
    console.log(path);
    for (const { label, score } of tags) console.log(`  ${score.toFixed(3)} ${label}`);
    for (const { label, start_seconds: start, end_seconds: end } of events) {
      console.log(`  ${start.toFixed(2)} to ${end.toFixed(2)} s ${label}`);
    }
  } catch (error) {
    if (!(error instanceof EarshotError)) throw error;
    console.error(`${path}: ${error.message}`);
    process.exitCode = 1;
  }
}
