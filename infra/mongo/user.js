// Run once by mongod's image, in an empty volume: what the services may do, and nothing beside it.
db.getSiblingDB("copypro").createUser({
  user: "copypro",
  pwd: process.env.MONGO_PASSWORD,
  roles: [{ role: "readWrite", db: "copypro" }],
});
