import { open, rename, rm } from "node:fs/promises";

/**
 * Replaces a file so that a reader, or a crash at any point, sees the old or the new content and nothing between.
 * Mode 0600. Throws what the file system throws; the temporary file is removed then.
 */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
