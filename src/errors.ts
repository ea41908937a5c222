/** What every refusal and failure is called, its HTTP status and its title. The only such table. */
const PROBLEMS = {
  malformed_request: { status: 400, title: 'The request is not HTTP as the service knows it' },
  malformed_multipart: { status: 400, title: 'The multipart body is malformed' },
  malformed_json: { status: 400, title: 'The JSON body is malformed' },
  missing_file: { status: 400, title: 'No audio was sent' },
  unknown_parameter: { status: 400, title: 'Unknown parameter' },
  conflicting_parameters: { status: 400, title: 'Parameters exclude each other' },
  unauthorized: { status: 401, title: 'An API key is needed' },
  not_found: { status: 404, title: 'Not found' },
  unknown_model: { status: 404, title: 'Unknown model' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  upload_timeout: { status: 408, title: 'The upload took too long' },
  file_too_large: { status: 413, title: 'The upload is too large' },
  clip_too_long: { status: 413, title: 'The clip is too long' },
  too_many_files: { status: 413, title: 'Too many files' },
  unsupported_format: { status: 415, title: 'Unsupported audio format' },
  undecodable_audio: { status: 422, title: 'The audio cannot be decoded' },
  decode_budget_exceeded: { status: 422, title: 'Decoding took too long' },
  empty_audio: { status: 422, title: 'The audio is empty' },
  range_outside_clip: { status: 422, title: 'The range lies outside the clip' },
  clip_too_short: { status: 422, title: 'The clip is too short' },
  invalid_value: { status: 422, title: 'Invalid parameter value' },
  headers_too_large: { status: 431, title: 'The head of the request is too large' },
  overloaded: { status: 429, title: 'The queue is full' },
  client_concurrency: { status: 429, title: 'Too many requests at once' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Internal error' },
  inference_failed: { status: 500, title: 'Inference failed' },
  not_ready: { status: 503, title: 'Not ready' },
  draining: { status: 503, title: 'Shutting down' },
  engine_unavailable: { status: 503, title: 'No engine is available' },
  deadline_exceeded: { status: 504, title: 'The deadline has passed' },
  storage_full: { status: 507, title: 'The spool is full' },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as ProblemCode[];

/** A failure with a name that a client may see; everything else is answered as `internal`. */
export class ServiceError extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  readonly title: string;
  readonly extensions: Readonly<Record<string, unknown>>;

  /**
   * @param code row of the table above
   * @param detail one sentence: what was expected and what came; shown to the client
   * @param extensions further members of the problem body (RFC 9457), snake_case
   */
  constructor(code: ProblemCode, detail: string, extensions: Record<string, unknown> = {}) {
    super(detail);
    this.name = 'ServiceError';
    this.code = code;
    this.status = PROBLEMS[code].status;
    this.title = PROBLEMS[code].title;
    this.extensions = extensions;
  }
}
