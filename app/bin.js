#!/usr/bin/env node
// Baton runs from its TypeScript sources: this launcher teaches Node to read them, and does nothing else.
import { register } from 'tsx/esm/api';

register();
await import('./cli.ts');
