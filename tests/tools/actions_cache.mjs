// Saves or restores a directory with the official client: node actions_cache.mjs MODULE save|restore DIRECTORY KEY [PREFIX]
// Prints the number of the saved entry, or the key that was restored.

import { pathToFileURL } from 'node:url';

const [module, verb, directory, key, prefix] = process.argv.slice(2);
const cache = await import(pathToFileURL(module).href);
const result = verb === 'save'
  ? await cache.saveCache([directory], key)
  : await cache.restoreCache([directory], key, prefix === undefined ? [] : [prefix]);
console.log(`RESULT ${result}`);
