import type { Request } from 'express';
import type { AnalysisDeps, ClipFile } from '../analyze/hear.js';
import type { Model } from '../inference/model-registry.js';
import type { ClipAnswer } from './clip-answers.js';
import type { operations } from './openapi-types.js';
import type { ParametersOf } from './parameters.js';

/** Operations that take audio. */
export type AudioOperation = 'createTags' | 'createEmbeddings' | 'createEvents' | 'createTokens';

export type ReplyOf<Op extends AudioOperation> =
  operations[Op]['responses'][200]['content']['application/json'];

/** What every answer about a clip knows of it. */
export interface HeardClip {
  readonly audioSeconds: number;
  readonly windows: number;
}

/** Who asks and who answers, as replies name them. */
export interface ReplyNames {
  readonly id: string;
  readonly model: string;
}

/** What one operation does with a clip, and how it writes the answers. */
export interface AudioEndpoint<Op extends AudioOperation, T extends HeardClip> {
  readonly operation: Op;
  readonly route: string;
  /** Whether files may come as data URIs in JSON. */
  readonly takesJson?: boolean;
  /** @throws ServiceError `invalid_value`: what openapi.yaml cannot say, since it depends on the model */
  check?(parameters: ParametersOf<Op>, model: Model): void;
  /** The form that the client wants in place of JSON. */
  form?(parameters: ParametersOf<Op>, request: Request): AnswerForm<Op> | undefined;
  analyze(clip: ClipFile, parameters: ParametersOf<Op>, deps: AnalysisDeps): Promise<T>;
  /** The body for one clip that was answered. */
  single(names: ReplyNames, clip: T, parameters: ParametersOf<Op>): ReplyOf<Op>;
  /** The body for several. */
  list(
    names: ReplyNames,
    answers: readonly ClipAnswer<T>[],
    parameters: ParametersOf<Op>,
  ): ReplyOf<Op>;
}

/** An answer that is not one JSON body: a table, a picture, or lines while the clip is being read. */
export interface AnswerForm<Op extends AudioOperation> {
  /** As the parameter that asks for it has it. */
  readonly name: string;
  readonly parameter: string;
  readonly mediaType: string;
  /** Beside those that every reply has. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Lines of JSON: several clips may follow one another, and a failure may be the last line. */
  readonly isLines: boolean;
  /** Writes the answer about one clip, in pieces or at once; nothing is sent before the first piece. */
  answer(clip: ClipFile, question: FormQuestion<Op>, write: WritePiece): Promise<HeardClip>;
}

export interface FormQuestion<Op extends AudioOperation> {
  readonly names: ReplyNames;
  /** Place among several clips; undefined for one alone. */
  readonly index: number | undefined;
  readonly parameters: ParametersOf<Op>;
  readonly deps: AnalysisDeps;
}

/** Sends a piece of the body; comes back when the client can take more. */
export type WritePiece = (piece: string | Uint8Array) => Promise<void>;
