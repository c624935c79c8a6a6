/** How to get a Vulkan driver, by which WebGPU runs: the vendor's, Mesa's, or the software driver that Chromium brings. */
import { existsSync } from 'node:fs'

/** Where packages of Chromium and Chrome put its description. */
const places: readonly string[] = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'].flatMap((name) =>
  ['/usr/lib', '/usr/lib64', '/opt/google', '/opt', '/snap/chromium/current/usr/lib'].map(
    (folder) => `${folder}/${name}/vk_swiftshader_icd.json`,
  ),
)

const driver =
  "install a Vulkan driver: on a GPU machine the vendor's, elsewhere a software driver (Debian and Ubuntu: apt-get install mesa-vulkan-drivers)"

/** @param isThere whether a file exists */
export const vulkanRemedy = (isThere: (file: string) => boolean = existsSync): string => {
  const found = places.find(isThere)
  return found === undefined
    ? `${driver}; where Mesa is too old, the one in Chromium works (apt-get install chromium)`
    : `${driver}; where Mesa is too old, the one in Chromium works: VK_ICD_FILENAMES=${found}`
}
