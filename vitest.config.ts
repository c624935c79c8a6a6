/**
 * Which files are tests, in four projects. `shared`: many files, one after another, in one process. `isolated`: a process for each file that
 * replaces a module. `long`: what kills, waits or installs for minutes (`npm run test:long`, and continuous
 * integration). `release`: memory and speed of whole processes, and other runtimes (`npm run test:release`, before a release).
 */
import { configDefaults, defineConfig } from 'vitest/config'

const files = (...names: ReadonlyArray<string>): string[] => names.map((name) => `property-tests/${name}.test.ts`)

/** vi.mock reaches every later file of a process. */
const isolated = files(
  'cli/extensionPoints',
  'cli/extensionPointsTaskType',
  'cli/extensionPoints/*',
  'property/accelerated/writeIntoBuffers',
  'property/finetuning/systemErrors',
  'property/finetuning/tasks',
)

/** They add three minutes to continuous integration, which has twenty. */
const release = files(
  'cli/abandonedIterator',
  'cli/benchmark',
  'cli/estimate',
  'cli/memory',
  'cli/recompute',
  'package/oneRuntime',
  'package/runtimes',
  'serving/openRunMemory',
)

/** Kills, outages of the queue, peers in Python, tutorials, and browsers. */
const long = files(
  'board/boardInBrowser',
  'board/stop',
  'board/watch',
  'cli/benchmarkPeers',
  'cli/glueKilled',
  'cli/interrupt',
  'cli/oneFolder',
  'cli/queue',
  'cli/reportInBrowser',
  'cli/resume',
  'cli/severalMachines',
  'cli/tune',
  'documentation/examples',
  'documentation/walkthroughs',
  'llamacpp/*',
  'package/start',
  'package/tarball',
  'package/telemetry',
  'property/accelerated/folderLock',
  'serving/serveProcess',
  'web/*InBrowser',
)

const setupFiles = ['property-tests/support/setup.ts']
export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } }, // of what comes at once where nothing else is at work
    pool: 'forks',
    maxWorkers: 2,
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
      { extends: true, test: { name: 'isolated', include: isolated, setupFiles } },
      { extends: true, test: { name: 'long', include: long, setupFiles } },
      { extends: true, test: { name: 'release', include: release, setupFiles } },
    ],
  },
})
