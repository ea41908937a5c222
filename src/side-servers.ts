import { createServer, type Server } from 'node:http';
import type { Config } from './config.js';
import type { OpenApiDocument } from './http/openapi-document.js';
import { createSideApp, type SideContent } from './http/side-app.js';
import { listen } from './listen.js';
import type { Metrics } from './metrics.js';

/** Servers beside the main one, for what was given a port of its own. */
export interface SideServers {
  readonly metricsUrl: string | undefined;
  readonly docsUrl: string | undefined;
  close(): void;
}

/**
 * Listens on METRICS_PORT and DOCS_PORT, where they are set; both may be the same.
 *
 * @throws ConfigError that names the port that cannot be had
 */
export async function openSideServers(
  config: Config,
  { metrics, openApi }: { metrics: Metrics; openApi: OpenApiDocument },
): Promise<SideServers> {
  const servers: Server[] = [];
  const close = () => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  };
  const open = async (name: string, port: number, content: SideContent) => {
    const server = createServer(createSideApp(content));
    servers.push(server);
    return listen(server, { port, host: config.host, name });
  };
  const metricsPort = config.metrics ? config.metricsPort : undefined;
  const docsPort = config.docs ? config.docsPort : undefined;
  try {
    if (metricsPort !== undefined && metricsPort > 0 && metricsPort === docsPort) {
      const url = await open('METRICS_PORT', metricsPort, { metrics, openApi });
      return { metricsUrl: url, docsUrl: url, close };
    }
    const metricsUrl =
      metricsPort === undefined ? undefined : await open('METRICS_PORT', metricsPort, { metrics });
    const docsUrl =
      docsPort === undefined ? undefined : await open('DOCS_PORT', docsPort, { openApi });
    return { metricsUrl, docsUrl, close };
  } catch (error) {
    close();
    throw error;
  }
}
