/**
 * What happened lately, for as long as there is room. It has two generations: new entries go in the young one, and
 * when that is full it becomes the old one and the old one is dropped whole. So at least the last `entriesMax / 2`
 * entries are known, and at most `entriesMax`. Dropping entries one by one from the front of a large Map steps over every entry
 * dropped before.
 */
export class Recent<K, V> {
  private young = new Map<K, V>();
  private old = new Map<K, V>();
  private readonly youngMax: number;

  constructor(entriesMax: number) {
    this.youngMax = Math.ceil(entriesMax / 2);
  }

  get(key: K): V | undefined {
    return this.young.get(key) ?? this.old.get(key);
  }

  set(key: K, value: V): void {
    this.young.set(key, value);
    if (this.young.size < this.youngMax) return;
    this.old = this.young;
    this.young = new Map();
  }
}
