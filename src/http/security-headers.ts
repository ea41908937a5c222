import type { RequestHandler } from 'express';
import helmet from 'helmet';

/** Headers of every reply: a browser may make nothing of it but what it says it is. */
export function securityHeaders(): RequestHandler {
  const directives = { defaultSrc: ["'none'"], frameAncestors: ["'none'"] };
  return helmet({
    contentSecurityPolicy: { useDefaults: false, directives },
    // TLS ends before this service; whoever ends it decides about the scheme.
    strictTransportSecurity: false,
  });
}
