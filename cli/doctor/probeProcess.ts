/** Examines the device that its argument names, and sends what it found to its parent. */
import { examineDevice } from './probeInSubprocess.js'

const [, , name = ''] = process.argv
process.send?.(await examineDevice(name), () => process.disconnect?.())
