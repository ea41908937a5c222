// `npm run test:training`: the environment, then lint, format, types and tests of training/.

import { fileURLToPath } from 'node:url';
import { ensureTrainingVenv, run, venvProgram } from './training-venv.mjs';

const inTraining = { cwd: fileURLToPath(new URL('../training/', import.meta.url)) };

ensureTrainingVenv();
// The Python of the benchmark is held to the same rules.
const linted = ['--config', 'pyproject.toml', '.', '../bench/python'];
run(venvProgram('ruff'), ['check', ...linted], inTraining);
run(venvProgram('ruff'), ['format', '--check', ...linted], inTraining);
run(venvProgram('mypy'), [], inTraining);
run(venvProgram('pytest'), ['-q'], inTraining);
