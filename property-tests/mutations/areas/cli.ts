/** Mutations of the command line: options, formats and progress. */
import type { Mutation } from '../mutation.js'

export const cli: ReadonlyArray<Mutation> = [
  {
    file: 'cli/format/numbers.ts',
    mistake: 'Seconds of an hour are minutes.',
    before: 'Math.floor((whole % 3600) / 60)]',
    after: 'Math.floor(whole / 60)]',
    tests: ['cli/numbers'],
  },
  {
    file: 'cli/format/numbers.ts',
    mistake: 'A share is not in percent.',
    before: '`${(100 * share).toFixed(1)} %`',
    after: '`${share.toFixed(1)} %`',
    tests: ['cli/numbers'],
  },
  {
    file: 'cli/format/numbers.ts',
    mistake: 'A small loss is 0.',
    before: '(x !== 0 && Math.abs(x) < 1e-3)',
    after: '(x === 0)',
    tests: ['cli/numbers'],
  },
  {
    file: 'cli/terminal/eta.ts',
    mistake: 'The first step, which compiles, is timed.',
    before: 'let [step, timed, stepping] = [0, -1, 0]',
    after: 'let [step, timed, stepping] = [0, 0, 0]',
    tests: ['cli/interruptedEvaluation'],
  },
  {
    file: 'cli/terminal/eta.ts',
    mistake: 'Evaluations are left out of the remaining time.',
    before: '(evaluations(step) * examples.evaluation + rest) * perExample()',
    after: 'rest * perExample()',
    tests: ['cli/interruptedEvaluation'],
  },
  {
    file: 'cli/terminal/output.ts',
    mistake: 'Control characters of a file reach the terminal.',
    before: "text.split('\\n').map(oneLine).join('\\n')",
    after: 'text',
    tests: ['cli/surface'],
  },
  {
    file: 'cli/terminal/reportError.ts',
    mistake: 'A wrong setting exits as a failure.',
    before: 'thrown instanceof SettingsError || blamesFlag(inUserWords) ? exitCodes.wrongUsage : exitCodes.failure',
    after: 'exitCodes.failure',
    tests: ['cli/errors'],
  },
  {
    file: 'cli/format/table.ts',
    mistake: 'Numbers are aligned to the left.',
    before: 'cell.padStart(widths[i] ?? 0)',
    after: 'cell.padEnd(widths[i] ?? 0)',
    tests: ['cli/surface'],
  },
  {
    file: 'cli/format/tuneTable.ts',
    mistake: 'The best candidate comes last.',
    before: '[best.name, ...names.filter((name) => name !== best.name)]',
    after: '[...names.filter((name) => name !== best.name), best.name]',
    tests: ['property/evaluation/tune'],
  },
  {
    file: 'cli/input/textLines.ts',
    mistake: 'A carriage return is part of a text.',
    before: ".replace(/\\r$/, '')",
    after: '',
    tests: ['cli/surface'],
  },
  {
    file: 'cli/input/textLines.ts',
    mistake: 'A last line without a line feed is lost.',
    before: 'if (length > 0) {\n    length -=',
    after: 'if (length < 0) {\n    length -=',
    tests: ['cli/surface'],
  },
  {
    file: 'cli/options/nextRunName.ts',
    mistake: 'Two runs may share a folder.',
    before: 'if (!exists) return folder',
    after: 'return folder',
    tests: ['cli/oneFolder'],
  },
]
