/** The programs in README, and what they print one after another. */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const programs: readonly string[] = [...readFileSync('README.md', 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
  ([, program = '']) => program,
)

/** @param node the executable @param project a folder with the package installed; runs of programs before are removed */
export const printedBy = (node: string, project: string): string => {
  rmSync(join(project, 'runs'), { recursive: true, force: true })
  return programs
    .map((program, i) => {
      writeFileSync(join(project, `program${i}.mjs`), program)
      return execFileSync(node, [`program${i}.mjs`], { cwd: project, encoding: 'utf8' })
    })
    .join('')
}
