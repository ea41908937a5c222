// `npm run test:training`: the environment, then lint, format, types and tests of training/.

import { fileURLToPath } from 'node:url';
import { ensureTrainingVenv, run, venvProgram } from './training-venv.mjs';

const inTraining = { cwd: fileURLToPath(new URL('../training/', import.meta.url)) };

ensureTrainingVenv();
run(venvProgram('ruff'), ['check', '.'], inTraining);
run(venvProgram('ruff'), ['format', '--check', '.'], inTraining);
run(venvProgram('mypy'), [], inTraining);
run(venvProgram('pytest'), ['-q'], inTraining);
