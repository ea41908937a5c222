import { detectEvents, type ScoredWindow } from '../analyze/detect-events.js';
import { type HeardClip, ROW_SECONDS } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';
import type { ListedEvent } from '../outputs/events/event-list.js';
import { toTimelineScores } from '../outputs/events/timeline.js';
import type { AnswerForm, FormQuestion, WritePiece } from './audio-endpoint.js';
import { toAudio, toThreeDecimals, toUsage } from './audio-reply.js';
import { toEventOptions } from './event-options.js';
import { toEvent, toTimelineHead } from './event-reply.js';

/** One line of JSON per event, as soon as it is complete, and one at the end of each clip. */
export const eventLines: AnswerForm<'createEvents'> = {
  name: 'ndjson',
  parameter: 'response_format',
  mediaType: 'application/x-ndjson',
  isLines: true,
  async answer(clip, question, write) {
    const { parameters, deps } = question;
    if (parameters.top_k !== undefined) throw topKOfLines();
    const options = toEventOptions(parameters, deps.model.card);
    const lines = new EventLines(question, write);
    const heard = await detectEvents(clip, options, lines.listener(options.labels), deps);
    await lines.finish(heard);
    return heard;
  },
};

class EventLines {
  readonly #question: FormQuestion<'createEvents'>;
  readonly #write: WritePiece;
  #numEvents = 0;
  #isTruncated = false;

  constructor(question: FormQuestion<'createEvents'>, write: WritePiece) {
    this.#question = question;
    this.#write = write;
  }

  listener(labels: Parameters<typeof toTimelineHead>[0]) {
    const { parameters } = this.#question;
    const head = toTimelineHead(labels, parameters);
    const hasTimeline = parameters.include?.includes('timeline');
    return {
      event: (event: ListedEvent) => this.#event(event),
      ...(hasTimeline && { window: (window: ScoredWindow) => this.#rows(window, head) }),
    };
  }

  async finish(heard: HeardClip): Promise<void> {
    const { id, model } = this.#question.names;
    await this.#line('audio.events.summary', {
      id,
      model,
      audio: toAudio(heard),
      row_seconds: ROW_SECONDS,
      num_events: this.#numEvents,
      truncated: this.#isTruncated,
      usage: toUsage([heard]),
    });
  }

  async #event(event: ListedEvent): Promise<void> {
    if (this.#numEvents === this.#question.parameters.max_events) {
      this.#isTruncated = true;
      return;
    }
    this.#numEvents += 1;
    await this.#line('audio.event', toEvent(event));
  }

  async #rows(
    { channel, scores, startSeconds }: ScoredWindow,
    head: ReturnType<typeof toTimelineHead>,
  ): Promise<void> {
    const { encoding, dtype: type } = head;
    await this.#line('audio.events.timeline', {
      ...(this.#question.parameters.channel === 'each' && { channel }),
      ...head,
      start_seconds: toThreeDecimals(startSeconds),
      rows: scores.length,
      scores: toTimelineScores(scores, { encoding, type }),
    });
  }

  #line(object: string, members: object): Promise<void> {
    const { index } = this.#question;
    const place = index === undefined ? {} : { index };
    return this.#write(`${JSON.stringify({ object, ...place, ...members })}\n`);
  }
}

function topKOfLines(): ServiceError {
  return new ServiceError(
    'conflicting_parameters',
    'Expected response_format=ndjson or top_k, got both: which labels are best is known only at the end',
  );
}
