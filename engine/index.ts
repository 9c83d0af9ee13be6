export { FanOutRedis } from './bus/fan-out-redis.ts';
export { BusError, makeRedisClient, RedisBus } from './bus/redis-bus.ts';
export type { Incident } from './context.ts';
export type * from './door.ts';
export { createEngine, type EngineOptions } from './engine.ts';
export { type Database, openDatabase } from './store/database.ts';
export { openPostgresStore, type PostgresStore } from './store/postgres/postgres-store.ts';
