import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Cores that this process may keep busy: the affinity mask, cut down to the CPU quota of its cgroup.
 *
 * Node 20 knows nothing of quotas, so in a container with `--cpus 2` on a large host it would count
 * every core of the host. A part of a core does not count: two engines on 1.5 cores are throttled.
 *
 * @param readText gives the text of a file, or throws when there is none
 */
export function availableCores(
  cores: number = availableParallelism(),
  readText: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): number {
  const quota = quotaOfVersion2(readText) ?? quotaOfVersion1(readText) ?? cores;
  return Math.max(1, Math.min(cores, Math.floor(quota)));
}

type ReadText = (path: string) => string;

function quotaOfVersion2(readText: ReadText): number | undefined {
  const [quota, period] = read(readText, '/sys/fs/cgroup/cpu.max')?.trim().split(' ') ?? [];
  return ratio(quota, period);
}

function quotaOfVersion1(readText: ReadText): number | undefined {
  const quota = read(readText, '/sys/fs/cgroup/cpu/cpu.cfs_quota_us');
  return ratio(quota, read(readText, '/sys/fs/cgroup/cpu/cpu.cfs_period_us'));
}

/** Undefined unless both are positive numbers: `max` and -1 mean that there is no quota. */
function ratio(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period);
  return cores > 0 && Number.isFinite(cores) ? cores : undefined;
}

function read(readText: ReadText, path: string): string | undefined {
  try {
    return readText(path);
  } catch {
    return undefined;
  }
}
