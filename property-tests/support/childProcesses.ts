/** Child processes of a test file: whatever still runs after a test is killed. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterEach } from 'vitest'

/** → a function that takes note of a process, and returns it */
export const killedAfterEach = (): (<Child extends ChildProcess>(child: Child) => Child) => {
  const children: ChildProcess[] = []
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  return (child) => {
    children.push(child)
    return child
  }
}
