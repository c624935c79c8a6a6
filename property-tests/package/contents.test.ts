/** What `npm publish` would upload, by a dry run: the built product, its data, license and README, and nothing else. */
import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'

const allowed = [
  /^dist\/(index|accelerated|cli|evaluation|finetuning|reference|reporting)\b.*\.(js|d\.ts)$/,
  /^dist\/reporting\/\w+\/page\/\w+\.css$/,
  /^finetuning\/embedded\/(model\/.*|README\.md)$/,
  /^finetuning\/data\/sentiment\//,
  /^evaluation\/benchmark\/peer\.py$/,
  /^(LICENSE|README\.md|package\.json)$/,
]

it('The package contains the built product, its data, its license and README, and nothing else', () => {
  const printed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [{ files = [] } = {}] = JSON.parse(printed) as ReadonlyArray<{ readonly files: ReadonlyArray<{ readonly path: string }> }>
  const packed = files.map(({ path }) => path).filter((path) => !path.startsWith('node_modules/'))
  expect(packed.filter((path) => !allowed.some((pattern) => pattern.test(path)))).toEqual([])
  for (const needed of [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/cli/salora.js',
    'finetuning/embedded/model/model.safetensors',
    'README.md',
  ])
    expect(packed).toContain(needed)
})
