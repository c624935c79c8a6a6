/** The flags of all task sources, each once. A description names the tasks that its flag applies to. */
import type { TaskFlag } from './task.js'
import { taskSources } from './sources.js'

const all = taskSources.flatMap(({ flags = [] }) => flags)

const merged = (name: TaskFlag['name']): TaskFlag => {
  const flags = all.filter((flag) => flag.name === name)
  const descriptions = [...new Set(flags.map(({ description }) => description))]
  return { placeholder: '', ...flags.at(-1), name, description: descriptions.join('; ') }
}

export const taskFlags: ReadonlyArray<TaskFlag> = [...new Set(all.map(({ name }) => name))].map(merged)
