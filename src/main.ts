import closeWithGrace from 'close-with-grace';
import { type Config, loadConfig } from './config.js';
import { createLog, type Log } from './log.js';
import { type Service, startService } from './service.js';

/** Beyond pre-stop and drain: time for engines to end, before the process ends itself. */
const CLOSE_MARGIN_MS = 15_000;

try {
  await main();
} catch (error) {
  process.stderr.write(`earshot: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const config = loadConfig();
  const log = createLog({ level: config.logLevel });
  const service = await startService(config, log);
  announce(service, config, log);
  closeOnSignal(service, config, log);
}

function announce(service: Service, config: Config, log: Log): void {
  log.info({ config }, 'configuration');
  const { card, precision, provider } = service.registry.get();
  const fallback = provider.reason === undefined ? '' : ` (no cuda: ${provider.reason})`;
  const { declined: other } = precision;
  const declined = other === undefined ? '' : `, no ${other}: ${precision.reason}`;
  const parts = [
    `Earshot listens on ${service.url}`,
    `model ${card.name} (${precision.active}${declined})`,
    `execution provider ${provider.active}${fallback}`,
    config.apiKeysFile === undefined ? 'open access' : 'access by API key',
    ...(config.docs ? [`docs ${service.docsUrl ?? service.url}/docs`] : []),
    ...(service.metricsUrl === undefined ? [] : [`metrics ${service.metricsUrl}/metrics`]),
  ];
  log.info(parts.join(', '));
}

/**
 * SIGTERM ends the service without losing a request. Ctrl-C skips the wait for balancers, since a
 * person waits; so does an error nobody caught, since nothing is sure after it.
 */
function closeOnSignal(service: Service, config: Config, log: Log): void {
  const delay = config.preStopMs + config.drainTimeoutMs + CLOSE_MARGIN_MS;
  const logger = {
    error: (message: unknown) => log.error({ err: message }, 'cannot end in order'),
  };
  closeWithGrace({ delay, logger }, async ({ signal, err }) => {
    if (err) log.error({ err }, 'uncaught error, the service ends');
    else log.info({ signal }, 'shutting down');
    await service.close({ preStopMs: signal === 'SIGTERM' ? config.preStopMs : 0 });
    log.info('all requests are answered, all engines ended');
  });
}
