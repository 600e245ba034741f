// The source of sample.jar, for machines without a Java Development Kit:
//   javac -d classes Clan.java && jar --create --no-manifest --file sample.jar -C classes .
package clan;

public abstract class Clan {
    public interface Member { Clan clan(); }
    public interface Immortal extends Member { Sword sword(); }
    public enum Sword { KATANA, CLAYMORE, BROADSWORD { @Override public String toString() { return "broad"; } } }
    public static class Highlander extends Clan implements Immortal {
        private final Sword sword = Sword.CLAYMORE;
        public Sword sword() { return sword; }
        public Clan clan() { return this; }
        class Memory { Highlander whose() { return Highlander.this; } }
        static final class Connor extends Highlander { Memory memory = new Memory(); }
        static final class Duncan extends Highlander { Immortal friend = new Connor(); }
    }
    public static final class Kurgan extends Clan implements Immortal {
        public Sword sword() { return Sword.BROADSWORD; }
        public Clan clan() { return null; }
        Runnable quickening() { return new Runnable() { public void run() { new Highlander.Connor(); } }; }
    }
    public static class Watcher<T extends Immortal> {
        T watched;
        record Entry(String name, Immortal who) { }
        class Chronicle extends java.util.ArrayList<Entry> { Watcher<T> by() { return Watcher.this; } }
    }
}
