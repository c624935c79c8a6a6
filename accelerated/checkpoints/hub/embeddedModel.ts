/** The model in this package. Runs record its name, which other installations and later versions resolve to their own folder. */
import { packageFile } from '../../storage/packages.js'

export const embeddedName = 'embedded'

/** Its folder in this installation. */
export const embeddedModel: string = packageFile('finetuning/embedded/model')
