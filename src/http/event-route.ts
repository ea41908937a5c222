import type { RequestHandler } from 'express';
import { listEvents } from '../analyze/list-events.js';
import type { AudioEndpoint } from './audio-endpoint.js';
import { answered, toUsage } from './audio-reply.js';
import { type AudioRouteDeps, audioRoute } from './audio-route.js';
import { formOf } from './event-forms.js';
import { toEventOptions, toListOptions } from './event-options.js';
import { type AnsweredEvents, toEventsReply } from './event-reply.js';

const eventEndpoint: AudioEndpoint<'createEvents', AnsweredEvents> = {
  operation: 'createEvents',
  route: '/v1/events',
  check: (parameters, { card }) => void toEventOptions(parameters, card),
  form: formOf,
  async analyze(clip, parameters, deps) {
    const options = toListOptions(parameters, deps.model.card);
    const withTimeline = parameters.include?.includes('timeline') ?? false;
    const heard = await listEvents(clip, { ...options, withTimeline }, deps);
    return { ...heard, labels: options.labels };
  },
  single: ({ id, model }, clip, parameters) => ({
    id,
    model,
    ...toEventsReply(clip, parameters),
  }),
  list: ({ id, model }, answers, parameters) => ({
    id,
    object: 'list',
    model,
    data: answers.map((each) =>
      'problem' in each
        ? each
        : { index: each.index, status: 200, ...toEventsReply(each.answer, parameters) },
    ),
    usage: toUsage(answered(answers)),
  }),
};

/** POST /v1/events */
export const eventRoute = (deps: AudioRouteDeps): RequestHandler => audioRoute(eventEndpoint, deps);
