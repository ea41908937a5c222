import { testSuites } from './smoke.js';
import { loadSuites } from './suites.js';

testSuites(loadSuites);
