// Ends with 0 once this mongod is the primary of a replica set of one, which the first look makes.
const admin = db.getSiblingDB("admin");
admin.auth(process.env.MONGO_INITDB_ROOT_USERNAME, process.env.MONGO_INITDB_ROOT_PASSWORD);
const hello = admin.runCommand({ hello: 1 });
if (!hello.setName) {
  admin.runCommand({
    replSetInitiate: { _id: "copypro", members: [{ _id: 0, host: process.env.MONGO_MEMBER || "mongo:27017" }] },
  });
}
quit(hello.isWritablePrimary ? 0 : 1);
