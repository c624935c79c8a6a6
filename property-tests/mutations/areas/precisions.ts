/** Mutations of the precisions: levels, scales and their bytes. */
import type { Mutation } from '../mutation.js'

export const precisions: ReadonlyArray<Mutation> = [
  {
    file: 'accelerated/precisions/int8/quantize.ts',
    mistake: 'Levels are rounded down.',
    before: '(W[i] ?? NaN) / scale + roundingShift - roundingShift',
    after: 'Math.floor((W[i] ?? NaN) / scale)',
    tests: ['property/accelerated/int8'],
  },
  {
    file: 'accelerated/precisions/int8/quantize.ts',
    mistake: 'The scale of a row ignores negative numbers.',
    before: 'Math.max(largest, Math.abs(W[i] ?? NaN))',
    after: 'Math.max(largest, W[i] ?? NaN)',
    tests: ['property/accelerated/int8'],
  },
  {
    file: 'accelerated/precisions/int8/quantize.ts',
    mistake: 'The largest level is 128.',
    before: 'const largestLevel = 127',
    after: 'const largestLevel = 128',
    tests: ['property/accelerated/int8'],
  },
  {
    file: 'accelerated/precisions/int8/quantize.ts',
    mistake: 'A transposed matrix is a copy.',
    before: 'transposed[column * rows + row] =',
    after: 'transposed[row * columns + column] =',
    tests: ['property/accelerated/int8'],
  },
  {
    file: 'accelerated/precisions/int8/quantizedFile.ts',
    mistake: 'A damaged cache is used.',
    before: 'if ((await readText(checksum, 1_000, storage)).trim() !== (await fileSha256(file, storage))) return null',
    after: '',
    tests: ['property/accelerated/int8'],
  },
  {
    file: 'accelerated/precisions/int8/int8.ts',
    mistake: 'Large matrices count in both orientations.',
    before: 'matrices * (matrices < largeLevels ? 2 : 1)',
    after: 'matrices * 2',
    tests: ['property/accelerated/precisionBytes'],
  },
  {
    file: 'accelerated/precisions/mixed.ts',
    mistake: 'Matrices count four bytes in mixed.',
    before: 'return 2 * matrices + 4',
    after: 'return 4 * matrices + 4',
    tests: ['property/accelerated/mixed'],
  },
  {
    file: 'accelerated/precisions/int8/quantizedFile.ts',
    mistake: 'A folder in place of a cached file is not noticed.',
    before: "?.kind === 'folder')",
    after: "?.kind === 'other')",
    tests: ['property/accelerated/int8'],
  },
  {
    file: 'accelerated/precisions/int8/quantize.ts',
    mistake: 'The last block of a row takes values of the next row.',
    before: 'Math.min(start + size, (row + 1) * columns)',
    after: 'start + size',
    tests: ['agreement/blockMatMul'],
  },
  {
    file: 'accelerated/precisions/int8/int8.ts',
    mistake: 'Generation in int8 uses the layout of training.',
    before: '  decoding: int8Blocks,\n',
    after: '',
    tests: ['property/accelerated/int8Generation'],
  },
  {
    file: 'accelerated/precisions/int8/blockLayout.ts',
    mistake: 'The head over the vocabulary stays in float32.',
    before: '...(words === undefined ? [] : [words])',
    after: '',
    tests: ['property/accelerated/int8Generation'],
  },
  {
    file: 'accelerated/precisions/speedup.ts',
    mistake: 'A session of the measurement stays open.',
    before: '      await coarse.release()',
    after: '',
    tests: ['property/accelerated/speedup'],
  },
]
