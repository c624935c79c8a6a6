/**
 * Which files are tests, in four tiers. `quick`: functions, in less than a minute (`npm run test:quick`). `shared` and `isolated`: all that proves
 * correctness (`npm test`), many files in one process, or a process for each file that replaces a module. `long`: what kills, waits or
 * installs for minutes (`npm run test:long`, and continuous integration). `release`: memory, speed and growth of whole processes, every family once more, other runtimes, and a GPU
 * in software for minutes (`npm run test:release`, before a release).
 */
import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const files = (...names: readonly string[]): string[] => names.map((name) => `property-tests/${name}.test.ts`)

/** vi.mock reaches every later file of a process. */
const isolated = files(
  'cli/extensionPoints',
  'cli/extensionPointsTaskType',
  'cli/extensionPoints/*',
  'property/accelerated/writeIntoBuffers',
  'property/finetuning/systemErrors',
  'property/finetuning/tasks',
)

/** They add six minutes to continuous integration, which has twenty. */
const release = files(
  'cli/abandonedIterator',
  'cli/benchmark',
  'cli/benchmarkPeers',
  'cli/estimate',
  'cli/families',
  'cli/memory',
  'cli/queueDisturbed',
  'growth/*',
  'package/gpuTrial',
  'package/oneRuntime',
  'package/runtimes',
  'package/telemetry',
  'processors/trainedElsewhere',
  'property/accelerated/mixedOnGpu',
  'web/familiesOnGpu',
  'web/gpuInBrowser',
  'web/otherBuild',
)

/** Kills, outages of the queue, installations, whole sweeps, tutorials, browsers, and a process for each script. */
const long = files(
  'board/boardInBrowser',
  'board/pages',
  'board/stop',
  'board/watch',
  'cli/board',
  'cli/embeddedName',
  'cli/glue',
  'cli/glueKilled',
  'cli/interrupt',
  'cli/oneFolder',
  'cli/optionalPackages',
  'cli/queue',
  'cli/reportInBrowser',
  'cli/resume',
  'cli/severalMachines',
  'cli/tune',
  'documentation/examples',
  'documentation/readme',
  'documentation/walkthroughs',
  'hostile/reportRun',
  'llamacpp/*',
  'processors/processors',
  'package/contents',
  'package/start',
  'package/tarball',
  'property/accelerated/folderLock',
  'property/finetuning/distributedRun',
  'property/evaluation/scripts',
  'serving/serveProcess',
  'web/!(gpu)InBrowser',
)

/** Of the folders of functions, those that take most of their time. */
const notQuick = files(
  'property/finetuning/bytePairEncoding',
  'property/finetuning/compactExamples',
  'property/finetuning/longConversations',
  'property/finetuning/mixture',
  'property/finetuning/runFolder',
  'property/finetuning/scoringBits',
  'property/graph/kernels',
  'property/graph/liveness',
  'property/reference/trainingStep',
)

/** Of few lines and much work: Vitest begins with the largest files, and these would run at the end, beside an idle process. */
const slow = files(
  'golden/bottleneck',
  'golden/prefix',
  'golden/prompt',
  'processors/processors',
  'documentation/walkthroughs',
  'cli/queue',
)
class SlowFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(specifications)
    const isSlow = (moduleId: string): boolean => slow.some((file) => moduleId.endsWith(file))
    // isolated files first: a process is shared by neighbors
    const place = ({ project, moduleId }: TestSpecification): number => 2 * Number(!project.config.isolate) + Number(!isSlow(moduleId))
    return [0, 1, 2, 3].flatMap((of) => sorted.filter((one) => place(one) === of))
  }
}

const setupFiles = ['property-tests/support/setup.ts']
export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } }, // of what comes at once where nothing else is at work
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: files('**/*'),
          exclude: [...configDefaults.exclude, ...isolated, ...long, ...release],
          isolate: false,
          setupFiles,
        },
      },
      {
        extends: true,
        test: {
          name: 'quick',
          include: files('property/finetuning/*', 'property/graph/*', 'property/reference/*', 'property/reporting/*'),
          exclude: [...configDefaults.exclude, ...isolated, ...long, ...release, ...notQuick],
          isolate: false,
          setupFiles,
        },
      },
      { extends: true, test: { name: 'isolated', include: isolated, setupFiles } },
      { extends: true, test: { name: 'long', include: long, setupFiles } },
      { extends: true, test: { name: 'release', include: release, setupFiles } },
    ],
  },
})
