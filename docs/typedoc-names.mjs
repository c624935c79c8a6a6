/** A plugin of TypeDoc: the package's main module has the package's name. */
import { Converter } from 'typedoc'

const names = { index: 'salora' }

export const load = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children ?? []) module.name = names[module.name] ?? module.name
  })
}
