/** Mutations of runs on several machines: what travels, who has a part, and what the leader takes. */
import type { Mutation } from '../mutation.js'

export const finetuningDistributed: ReadonlyArray<Mutation> = [
  {
    file: 'finetuning/distributed/exchange.ts',
    mistake: 'The largest numbers of a chunk are beyond float16.',
    before: 'const largestExponent = 15',
    after: 'const largestExponent = 17',
    tests: ['property/finetuning/exchange'],
  },
  {
    file: 'finetuning/distributed/runKeys.ts',
    mistake: 'A late duplicate replaces the first gradient.',
    before: " or redis.call('EXISTS', p..'gradient:'..ARGV[2]) == 1 then return 0 end",
    after: ' then return 0 end',
    tests: ['property/finetuning/distributedRun'],
  },
  {
    file: 'finetuning/distributed/runKeys.ts',
    mistake: 'A gradient of an earlier step counts for this one.',
    before: "if redis.call('GET', p..'now') ~= ARGV[1] or",
    after: 'if',
    tests: ['property/finetuning/distributedRun'],
  },
  {
    file: 'finetuning/distributed/runKeys.ts',
    mistake: 'A second leader takes the place of the first.',
    before: 'if held and held ~= ARGV[1] and held ~= ARGV[4] then return held end',
    after: 'if false then return held end',
    tests: ['property/finetuning/distributedRun'],
  },
  {
    file: 'finetuning/distributed/spreadParts.ts',
    mistake: 'The gradients of the leader are not rounded as those of workers are.',
    before: 'gradient: traveled(own.gradient, dtype, exchange)',
    after: 'gradient: own.gradient',
    tests: ['property/finetuning/distributedRun'],
  },
  {
    file: 'finetuning/distributed/acceptPart.ts',
    mistake: 'The first gradient of a worker is not checked.',
    before: 'if (finite && trusted.has(worker)) return welcome',
    after: 'if (finite) return welcome',
    tests: ['property/finetuning/acceptPart'],
  },
  {
    file: 'finetuning/distributed/acceptPart.ts',
    mistake: 'NaN is taken from a worker.',
    before: 'const finite = isWhole(received)',
    after: 'const finite = true',
    tests: ['property/finetuning/acceptPart'],
  },
  {
    file: 'finetuning/distributed/acceptPart.ts',
    mistake: 'Answers that do not fit their batch are taken.',
    before: '(step.fits?.(part, one) ?? true)',
    after: 'true',
    tests: ['property/finetuning/acceptPart'],
  },
  {
    file: 'finetuning/distributed/acceptPart.ts',
    mistake: 'Answers are read as if they were rounded to float16.',
    before: "numbersOf(body, size, dtype, work === 'answers' ? 'float32' : exchange)",
    after: 'numbersOf(body, size, dtype, exchange)',
    tests: ['property/finetuning/acceptPart'],
  },
  {
    file: 'finetuning/distributed/redisMemory.ts',
    mistake: 'Room in Redis is what it has in all.',
    before: 'memory.limit - memory.used',
    after: 'memory.limit',
    tests: ['property/finetuning/distributedRun'],
  },
  {
    file: 'finetuning/distributed/runKeys.ts',
    mistake: 'The leader ends leases that workers took for a slow network.',
    before: "if redis.call('GET', KEYS[1]..'lease:'..i) ~= 'own' then redis",
    after: 'if true then redis',
    tests: ['property/finetuning/distributedRun'],
  },
]
