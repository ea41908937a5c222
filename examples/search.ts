/** Recordings that sound most like one of them: `npx tsx examples/search.ts QUERY FILE...` */
import { openAsBlob } from 'node:fs';
import { Earshot } from '../clients/typescript/earshot-client.js';

const { EARSHOT_URL: url = 'http://localhost:8080', EARSHOT_API_KEY: apiKey } = process.env;
const earshot = new Earshot({ url, apiKey });
const [query = '', ...paths] = process.argv.slice(2);
const embed = async (path: string) => earshot.embed(await openAsBlob(path));

const wanted = await embed(query);
const found: { path: string; cosine: number }[] = [];
for (const path of paths) {
  const vector = await embed(path);
  // Vectors have unit length, so the cosine is the sum of products.
  found.push({ path, cosine: vector.reduce((sum, x, i) => sum + x * (wanted[i] ?? 0), 0) });
}
for (const { path, cosine } of found.sort((a, b) => b.cosine - a.cosine)) {
  console.log(`${cosine.toFixed(3)} ${path}`);
}
