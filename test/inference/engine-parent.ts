/** A parent of one engine, to be killed by a test: tells the engine's process id and waits. */
import { startEngine } from '../../src/inference/engine-process.js';

const engine = await startEngine(JSON.parse(process.argv[2] ?? ''));
process.send?.(engine.pid);
