import { createWriteStream, readdirSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { OpenFile } from '../src/http/spool.js';
import {
  openFullDisk,
  openWorkshop,
  startService,
  type TestService,
  toneClip,
} from '../test/http/test-service.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const ROUNDS = { smoke: 2, full: 50 } as const;
const BOUNDARY = 'between';
const DESCRIPTORS = '/proc/self/fd';
/** That Node opens and closes of its own accord. */
const MAX_MORE_FILES = 2;

/** A disk without room for uploads, and then with it again. */
export const fullDisk: FaultSuite = {
  name: 'full-disk',
  shows: 'a full disk is told as such and leaves nothing; with room again all is as before',
  control: 'what the disk says is not known for what it is',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const disk = new Disk(isGuarded);
    const workshop = await openWorkshop();
    const service = await startService(workshop, { openFile: disk.open });
    try {
      return await figuresOf(service, disk, ROUNDS[size]);
    } finally {
      await service.close();
      await workshop.close();
    }
  },
};

/** A disk that is full at times. Its errors are the kernel's; in the control they have lost their code. */
class Disk {
  isFull = false;
  readonly #tellsWhy: boolean;

  constructor(tellsWhy: boolean) {
    this.#tellsWhy = tellsWhy;
  }

  readonly open: OpenFile = (path) => {
    if (!this.isFull) return createWriteStream(path, { flags: 'wx', mode: 0o600 });
    return this.#tellsWhy ? openFullDisk(path) : withoutCode(openFullDisk(path));
  };
}

function withoutCode(file: Writable): Writable {
  const destroy = file._destroy.bind(file);
  file._destroy = (error, done) =>
    destroy(error, (last) => done(last && Object.assign(last, { code: 'EUNKNOWN' })));
  return file;
}

async function figuresOf(service: TestService, disk: Disk, rounds: number): Promise<FaultFigures> {
  const before = await askEach(service, 1);
  const openBefore = numOpenFiles();
  disk.isFull = true;
  const refused = await askEach(service, rounds);
  const left = service.spooled().length;
  disk.isFull = false;
  const after = await askEach(service, 1);
  const told = refused.filter((status) => status === 507).length;
  const good = after.filter((status) => status === 200).length;
  return [
    { name: 'uploads to a full disk', value: refused.length, atLeast: refused.length },
    { name: 'answered 507', value: told, atLeast: refused.length },
    { name: 'files left in the spool', value: left, atMost: 0 },
    {
      name: 'descriptors more than before',
      value: numOpenFiles() - openBefore,
      atMost: MAX_MORE_FILES,
    },
    { name: 'kinds of upload served before', value: before.length, atLeast: KINDS.length },
    { name: 'of them served with room again', value: good, atLeast: KINDS.length },
  ];
}

const numOpenFiles = (): number => {
  try {
    return readdirSync(DESCRIPTORS).length;
  } catch {
    return 0;
  }
};

const CLIP = toneClip(1);

/** The bytes alone, a form, and JSON: each is written to the disk in a way of its own. */
const KINDS: readonly { type: string; body: Buffer; path: string }[] = [
  { type: 'audio/wav', body: CLIP, path: '/v1/tags' },
  {
    type: `multipart/form-data; boundary=${BOUNDARY}`,
    path: '/v1/tags',
    body: Buffer.concat([
      Buffer.from(
        `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n`,
      ),
      CLIP,
      Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
    ]),
  },
  {
    type: 'application/json',
    path: '/v1/embeddings',
    body: Buffer.from(
      JSON.stringify({ model: 'tiny', input: `data:audio/wav;base64,${CLIP.toString('base64')}` }),
    ),
  },
];

async function askEach(service: TestService, rounds: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { type, path, body } of KINDS) {
      const headers = { 'Content-Type': type };
      const { status } = await service.callRaw({ method: 'POST', path, headers }, (request) =>
        request.end(body),
      );
      statuses.push(status);
    }
  }
  return statuses;
}
