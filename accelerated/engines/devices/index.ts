/** The devices there are: one line each. */
import { cpu } from './cpu.js'
import { cuda } from './cuda.js'
import type { Device } from './device.js'
import { webgpu } from './webgpu.js'

export const devices: ReadonlyArray<Device> = [cpu, webgpu, cuda]
