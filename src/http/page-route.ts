import { fileURLToPath } from 'node:url';
import express, { type RequestHandler, Router } from 'express';
import helmet from 'helmet';
import { ServiceError } from '../errors.js';

/** What `npm run build` makes of `page/`, whether this file runs from `src/` or from `dist/`. */
const FOLDER = fileURLToPath(new URL('../../dist/page', import.meta.url));

/** The page loads its own files and asks this service; everything else is refused to it. */
const PAGE_POLICY = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  connectSrc: ["'self'"],
  // What was dropped is played, and pictures are shown, without being sent anywhere.
  imgSrc: ["'self'", 'data:', 'blob:'],
  mediaSrc: ["'self'", 'blob:'],
  workerSrc: ["'self'"],
  formAction: ["'none'"],
  baseUri: ["'none'"],
  frameAncestors: ["'none'"],
};

/** GET / */
export const pageRoute = (): RequestHandler => serve({ index: 'index.html' });

/** GET /page/...: scripts, styles and sounds of the page. */
export const pageFiles = (): RequestHandler => serve({ index: false });

function serve({ index }: { index: string | false }): RequestHandler {
  const router = Router();
  // Also on scripts: a worker obeys the policy that came with its own file.
  router.use(helmet.contentSecurityPolicy({ useDefaults: false, directives: PAGE_POLICY }));
  router.use(express.static(FOLDER, { index, redirect: false, setHeaders }));
  router.use((request) => {
    const detail = `Expected a file of the page (npm run build makes it), got ${request.originalUrl}`;
    throw new ServiceError('not_found', detail);
  });
  return router;
}

function setHeaders(response: { setHeader(name: string, value: string): unknown }): void {
  // File names do not change with their content, so a browser asks each time; mostly it gets 304.
  response.setHeader('Cache-Control', 'no-cache');
  response.setHeader('Permissions-Policy', 'microphone=(self)');
}
