import { type RequestHandler, Router } from 'express';
import helmet from 'helmet';
import swaggerUi from 'swagger-ui-express';

const TITLE = 'Earshot';

/**
 * The description of the API as a page, under `/docs/`, from files of the package alone.
 *
 * It has a content policy of its own, since Swagger UI needs inline styles; the rest of the service
 * needs nothing at all.
 *
 * @param options.canAsk whether the page may send requests: to the port that it came from, so only on the main one
 */
export function docsRoutes({ canAsk }: { canAsk: boolean }): RequestHandler {
  const router = Router();
  const options = {
    customSiteTitle: TITLE,
    swaggerUrl: '/openapi.json',
    // Without this the page asks a validator on the internet.
    swaggerOptions: {
      validatorUrl: null,
      tryItOutEnabled: canAsk,
      ...(!canAsk && { supportedSubmitMethods: [] }),
    },
  };
  router.use(helmet.contentSecurityPolicy({ useDefaults: false, directives: PAGE_POLICY }));
  router.use(swaggerUi.serveFiles(undefined, options));
  router.get('/', swaggerUi.setup(undefined, options));
  return router;
}

const PAGE_POLICY = {
  defaultSrc: ["'self'"],
  styleSrc: ["'self'", "'unsafe-inline'"],
  imgSrc: ["'self'", 'data:'],
  objectSrc: ["'none'"],
  frameAncestors: ["'none'"],
};
