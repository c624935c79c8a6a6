/** All devices, one line each. A device's file and its line here are all it takes; how engines work belongs in the folder above. */
import { cpu, type Device, webgpu, cuda } from './device.js'

export const devices: readonly Device[] = [cpu, webgpu, cuda]
