import { testSuites } from './smoke.js';
import { harmSuites } from './suites.js';

testSuites(harmSuites);
