import type { Request } from 'express';
import { listEvents } from '../analyze/list-events.js';
import { pictureEvents } from '../analyze/picture-events.js';
import { toAudacityLabels } from '../outputs/events/audacity-labels.js';
import { toWebVtt } from '../outputs/events/event-captions.js';
import { toEventCsv } from '../outputs/events/event-csv.js';
import type { ListedEvent } from '../outputs/events/event-list.js';
import { renderPng } from '../outputs/picture/render-png.js';
import type { AnswerForm } from './audio-endpoint.js';
import { eventLines } from './event-lines.js';
import { type EventParameters, invalidParameter, toListOptions } from './event-options.js';
import { toEvent } from './event-reply.js';

type Format = NonNullable<EventParameters['response_format']>;
type EventForm = AnswerForm<'createEvents'>;

/** The picture brings its own colours and its spectrogram, and may load nothing else. */
const PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const FORMS: Readonly<Record<Exclude<Format, 'json'>, EventForm>> = {
  ndjson: eventLines,
  csv: tableForm('csv', 'text/csv; charset=utf-8; header=present', (events, { channel }) =>
    toEventCsv(events, { hasChannels: channel === 'each' }),
  ),
  audacity: tableForm('audacity', 'text/plain; charset=utf-8', toAudacityLabels),
  vtt: tableForm('vtt', 'text/vtt; charset=utf-8', toWebVtt),
  svg: pictureForm('svg', 'image/svg+xml', (svg) => svg),
  png: pictureForm('png', 'image/png', renderPng),
};

/** Media types by which a form may be asked for; JSON first, for those who take anything. */
const BY_MEDIA_TYPE: Readonly<Record<string, Format>> = {
  'application/json': 'json',
  'application/x-ndjson': 'ndjson',
  'text/csv': 'csv',
  'text/vtt': 'vtt',
  'image/svg+xml': 'svg',
  'image/png': 'png',
};

/**
 * The form that a request asks for by `response_format` or, without it, by `Accept`.
 *
 * @returns undefined for JSON, also where nothing that is accepted is there
 */
export function formOf(
  { response_format: format }: EventParameters,
  request: Request,
): EventForm | undefined {
  const wanted = format ?? BY_MEDIA_TYPE[request.accepts(Object.keys(BY_MEDIA_TYPE)) || ''];
  return wanted === undefined || wanted === 'json' ? undefined : FORMS[wanted];
}

/** A form that is written once all events are known. */
function tableForm(
  name: Format,
  mediaType: string,
  toText: (events: readonly ListedEvent[], parameters: EventParameters) => string,
): EventForm {
  return {
    ...{ name, mediaType, parameter: 'response_format', isLines: false },
    async answer(clip, { parameters, deps }, write) {
      const heard = await listEvents(clip, toListOptions(parameters, deps.model.card), deps);
      await write(toText(heard.events.map(toEvent), parameters));
      return heard;
    },
  };
}

function pictureForm(
  name: Format,
  mediaType: string,
  toBytes: (svg: string) => string | Promise<Uint8Array>,
): EventForm {
  return {
    ...{ name, mediaType, parameter: 'response_format', isLines: false },
    headers: { 'Content-Security-Policy': PICTURE_POLICY },
    async answer(clip, { parameters, deps }, write) {
      if (parameters.channel === 'each') throw severalChannels(name);
      const heard = await pictureEvents(clip, toListOptions(parameters, deps.model.card), deps);
      await write(await toBytes(heard.svg));
      return heard;
    },
  };
}

function severalChannels(name: string) {
  return invalidParameter('channel', `Expected mix, left or right for ${name}, got each`);
}
