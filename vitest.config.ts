/**
 * Which files are tests, in three projects. `shared`: many files, one after another, in one process. `isolated`: a process for each file that
 * replaces a module. `long`: what kills, waits, measures or installs for minutes (`npm run test:long`, three files at a time since they often wait).
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

/** Kills, outages of the queue, peers in Python, other versions of Node, tutorials, browsers, and measurements of memory and speed. */
const long = files(
  'board/boardInBrowser',
  'board/stop',
  'board/watch',
  'cli/abandonedIterator',
  'cli/benchmark',
  'cli/benchmarkPeers',
  'cli/estimate',
  'cli/glueKilled',
  'cli/interrupt',
  'cli/memory',
  'cli/oneFolder',
  'cli/queue',
  'cli/recompute',
  'cli/reportInBrowser',
  'cli/resume',
  'cli/severalMachines',
  'cli/tune',
  'documentation/examples',
  'documentation/walkthroughs',
  'llamacpp/*',
  'package/oneRuntime',
  'package/runtimes',
  'package/start',
  'package/tarball',
  'package/telemetry',
  'property/accelerated/folderLock',
  'serving/openRunMemory',
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
          exclude: [...configDefaults.exclude, ...isolated, ...long],
          isolate: false,
          setupFiles,
        },
      },
      { extends: true, test: { name: 'isolated', include: isolated, setupFiles } },
      { extends: true, test: { name: 'long', include: long, setupFiles, maxWorkers: 3, sequence: { groupOrder: 1 } } },
    ],
  },
})
