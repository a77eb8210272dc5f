import type { RenderedFile, ResourceRef } from '../objects.ts'

/**
 * The resource whose file nginx complained about.
 * @param files what was rendered into the folder
 * @param folder absolute path of the deployment folder (the one of the test, or of the symlink)
 * @param file path from nginx's message
 * @returns null where the file is not ours or belongs to no resource
 */
export function locateResource(
  files: readonly RenderedFile[],
  folder: string,
  file: string | null,
): ResourceRef | null {
  const root = folder.endsWith('/') ? folder : `${folder}/`
  if (!file?.startsWith(root)) return null
  const path = file.slice(root.length)
  return files.find(candidate => candidate.path === path)?.resource ?? null
}
