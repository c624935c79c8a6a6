/** Mutations of the engines: buffers and memory. */
import type { Mutation } from '../mutation.js'

export const engines: ReadonlyArray<Mutation> = [
  {
    file: 'accelerated/engines/devices/webgpu.ts',
    mistake: 'Recomputation on WebGPU counts values on the CPU.',
    before: "lacks: ['LogSoftmax', 'Size']",
    after: "lacks: ['LogSoftmax']",
    tests: ['property/graph/kernels'],
  },
  {
    file: 'accelerated/engines/devices/cuda.ts',
    mistake: 'Steps on CUDA have nodes that are in no table of its kernels.',
    before: 'fusedGelu: true, halfMatMul: true',
    after: 'fusedGelu: true, fusedDecoder: true, halfMatMul: true',
    tests: ['property/graph/kernels'],
  },
  {
    file: 'accelerated/engines/idleOptimizers.ts',
    mistake: 'An optimizer that changes our graphs is left out.',
    before: "'WhereDummyDq',",
    after: "'WhereDummyDq',\n  'CommonSubexpressionElimination',",
    tests: ['agreement/idleOptimizers'],
  },
  {
    file: 'accelerated/engines/arena.ts',
    mistake: 'Free neighbors are not joined.',
    before: 'if (chunk.before?.free === true) join(chunk.before, chunk)',
    after: '',
    tests: ['property/graph/liveness'],
  },
  {
    file: 'accelerated/engines/arena.ts',
    mistake: 'The largest free chunk is used.',
    before: 'chunk.bytes < best.bytes ? chunk : best',
    after: 'chunk.bytes > best.bytes ? chunk : best',
    tests: ['property/graph/liveness'],
  },
  {
    file: 'accelerated/engines/arena.ts',
    mistake: 'Every region is as large as the first.',
    before: 'if (!doubled) next *= 2',
    after: '',
    tests: ['property/graph/liveness'],
  },
  {
    file: 'accelerated/engines/writeIntoBuffers.ts',
    mistake: 'A binding that copied counts as one that filled the buffers.',
    before: 'return y[0] === 3',
    after: 'return y[0] !== 3',
    tests: ['property/accelerated/writeIntoBuffers'],
  },
  {
    file: 'accelerated/engines/nativeCallGuard.ts',
    mistake: 'A failed call stays counted.',
    before: 'return await call()\n  } finally {\n    Atomics.sub(count, 0, 1)\n  }',
    after: 'const result = await call()\n    Atomics.sub(count, 0, 1)\n    return result\n  } finally {\n  }',
    tests: ['property/accelerated/nativeCallGuard'],
  },
  {
    file: 'accelerated/engines/sessionOptions.ts',
    mistake: 'Products and sums are fused in some sections only.',
    before: 'fusesByNames: target.namelessSizes !== true',
    after: 'fusesByNames: true',
    tests: ['property/graph/sizeSections'],
  },
  {
    file: 'accelerated/engines/sessionOptions.ts',
    mistake: 'Expanded levels are kept as constants.',
    before: " || op === 'FourBitMatMul') && (prepack",
    after: ') && (prepack',
    tests: ['property/accelerated/int4'],
  },
]
