import { writeFileSync } from 'node:fs';
import { drawMachines } from './draw.ts';

writeFileSync(new URL('../docs/machines.md', import.meta.url), drawMachines());
