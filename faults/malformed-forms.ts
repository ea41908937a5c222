import {
  openWorkshop,
  startService,
  type TestService,
  toneClip,
} from '../test/http/test-service.js';
import type { NamedFile } from './hostile/forgeries.js';
import { BOUNDARY, malformedForms } from './hostile/malformed-forms.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const ROUNDS = { smoke: 1, full: 20 } as const;
const LIMITS = { maxFiles: 3, maxBytes: 60_000 };
const NO_LIMITS = { maxFiles: 1000, maxBytes: 10_000_000 };

/** Multipart bodies that are broken, endless or aimed at whoever reads them. */
export const malformedMultipart: FaultSuite = {
  name: 'malformed-forms',
  shows: 'every malformed form is refused as the fault of its sender, quickly, and leaves nothing',
  control: 'no limits of files and bytes',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const { maxFiles, maxBytes } = isGuarded ? LIMITS : NO_LIMITS;
    const env = { MAX_FILES: String(maxFiles), MAX_UPLOAD_BYTES: String(maxBytes) };
    const workshop = await openWorkshop();
    const service = await startService(workshop, { env });
    try {
      const forms = malformedForms(toneClip(0.3), LIMITS);
      // The first request to a service is slower than any after it.
      await service.call('post', '/v1/tags').send(toneClip(0.3));
      const replies: Reply[] = [];
      for (let round = 0; round < ROUNDS[size]; round++)
        for (const form of forms) replies.push(await sendForm(service, form));
      return figuresOf(service, forms, replies);
    } finally {
      await service.close();
      await workshop.close();
    }
  },
};

interface Reply {
  /** 0: none, or one that openapi.yaml does not know. */
  readonly status: number;
  readonly ms: number;
}

async function sendForm(service: TestService, { bytes }: NamedFile): Promise<Reply> {
  const startMs = performance.now();
  const headers = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` };
  const status = await service
    .callRaw({ method: 'POST', path: '/v1/tags', headers }, (request) => request.end(bytes))
    .then(
      (exchange) => exchange.status,
      () => 0,
    );
  return { status, ms: performance.now() - startMs };
}

function figuresOf(
  service: TestService,
  forms: readonly NamedFile[],
  replies: readonly Reply[],
): FaultFigures {
  const refused = replies.filter(({ status }) => status >= 400 && status < 500).length;
  const isPolluted = 'x' in {} || 'polluted' in {};
  return [
    { name: 'kinds of malformed forms', value: forms.length, atLeast: 30 },
    { name: 'forms', value: replies.length, atLeast: forms.length },
    { name: 'not refused with 4xx', value: replies.length - refused, atMost: 0 },
    { name: 'prototypes changed', value: isPolluted ? 1 : 0, atMost: 0 },
    { name: 'files left in the spool', value: service.spooled().length, atMost: 0 },
    {
      name: 'slowest, ms',
      value: Math.max(...replies.map(({ ms }) => ms)),
      atMost: 250,
      isTimed: true,
    },
  ];
}
