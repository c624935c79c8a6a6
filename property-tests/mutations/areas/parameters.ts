/** Mutations of parameters: layout, initialization and random numbers. */
import type { Mutation } from '../mutation.js'

export const parameters: readonly Mutation[] = [
  {
    file: 'accelerated/parameters/initialization.ts',
    mistake: 'A is drawn from U(0, 1/√k).',
    before: '(2 * u - 1) / Math.sqrt(k)',
    after: 'u / Math.sqrt(k)',
    tests: ['agreement/initialization'],
  },
  {
    file: 'accelerated/parameters/initialization.ts',
    mistake: 'The bound of A is 1/√r.',
    before: '(2 * u - 1) / Math.sqrt(k)',
    after: '(2 * u - 1) / Math.sqrt(r)',
    tests: ['agreement/initialization'],
  },
  {
    file: 'accelerated/parameters/initialization.ts',
    mistake: 'All tensors share random numbers.',
    before: "draw: (seed, { size, place }) => normals(seed, 'initialization', place, size).map((x) => deviation * x)",
    after: "draw: (seed, { size }) => normals(seed, 'initialization', 0, size).map((x) => deviation * x)",
    tests: ['agreement/initialization'],
  },
  {
    file: 'accelerated/parameters/layout.ts',
    mistake: 'Large tensors share an offset.',
    before: 'offset += elements(trainable.shape)',
    after: 'if (!isLarge(trainable)) offset += elements(trainable.shape)',
    tests: ['agreement/initialization'],
  },
  {
    file: 'accelerated/parameters/layout.ts',
    mistake: 'LoRA+ starts from other random numbers than LoRA with the same seed.',
    before: 'offsetsOf(inOrder(trainables, ({ name }) => name))',
    after: 'offsetsOf(inOrder(trainables, blockNameOf))',
    tests: ['agreement/initialization'],
  },
  {
    file: 'accelerated/parameters/random.ts',
    mistake: 'Philox has nine rounds.',
    before: 'round < 10',
    after: 'round < 9',
    tests: ['property/accelerated/random'],
  },
  {
    file: 'accelerated/parameters/random.ts',
    mistake: 'The high half of the seed is ignored.',
    before: 'Math.floor(seed / 0x100000000) >>> 0]',
    after: '0]',
    tests: ['property/accelerated/random'],
  },
  {
    file: 'accelerated/parameters/random.ts',
    mistake: 'A permutation never moves its last entry far.',
    before: 'Math.floor((u[i] ?? 0) * (i + 1))',
    after: 'Math.floor((u[i] ?? 0) * i)',
    tests: ['property/accelerated/random'],
  },
  {
    file: 'accelerated/parameters/random.ts',
    mistake: 'Two normal numbers share a radius and an angle.',
    before: '(i % 2 === 0 ? Math.cos(angle) : Math.sin(angle))',
    after: 'Math.cos(angle)',
    tests: ['property/accelerated/random'],
  },
]
