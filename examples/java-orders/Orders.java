import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Orders of a limited edition: taken at once with a 202, decided one after the other behind it.
 *
 * <p>An order waits in a queue of this process until the worker has put it into Redis; whoever asks
 * for its state is told. The worker asks Redis again when it is gone: the script knows an order that
 * it has seen, so nothing is sold twice.
 */
public final class Orders {
  /** Sells one, once for each order and each member. */
  static final String SELL =
      """
      local seen = redis.call("HGET", KEYS[1], ARGV[2])
      if seen == ARGV[1] then return "CONFIRMED" end
      if seen then return "REJECTED_TWICE" end
      if tonumber(redis.call("GET", KEYS[2]) or "0") <= 0 then return "REJECTED_SOLD_OUT" end
      redis.call("DECR", KEYS[2])
      redis.call("HSET", KEYS[1], ARGV[2], ARGV[1])
      return "CONFIRMED"
      """;

  static final BlockingQueue<Order> QUEUE = new ArrayBlockingQueue<>(500);
  static final Map<String, String> STATES = new ConcurrentHashMap<>();
  static final URI REDIS = URI.create(System.getenv("REDIS_URL"));

  /** The order that the worker has in hand. */
  static volatile Order deciding;

  record Order(String id, String sale, String member, long takenNs) {}

  public static void main(String[] arguments) throws IOException {
    Thread worker = new Thread(Orders::work, "worker");
    worker.setDaemon(true);
    worker.start();
    int port = Integer.parseInt(System.getenv("PORT"));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 128);
    server.createContext("/", Orders::handle);
    server.setExecutor(Executors.newFixedThreadPool(16));
    server.start();
  }

  /** Decides the orders in their turn, for as long as the process lives. */
  static void work() {
    Redis redis = new Redis(REDIS);
    while (true) {
      try {
        deciding = null;
        deciding = QUEUE.take();
        STATES.put(deciding.id(), decide(redis, deciding));
      } catch (InterruptedException end) {
        return;
      }
    }
  }

  static String decide(Redis redis, Order order) throws InterruptedException {
    while (true) {
      try {
        String won = "won:" + order.sale();
        String left = "left:" + order.sale();
        return (String) redis.call("EVAL", SELL, "2", won, left, order.id(), order.member());
      } catch (IOException gone) {
        Thread.sleep(50);
      }
    }
  }

  static void handle(HttpExchange exchange) throws IOException {
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    String[] path = exchange.getRequestURI().getPath().substring(1).split("/");
    boolean posted = exchange.getRequestMethod().equals("POST");
    try {
      if (path[0].equals("health")) {
        send(exchange, 200, "{\"status\": \"up\"}");
      } else if (path[0].equals("metrics")) {
        send(exchange, 200, metrics());
      } else if (path[0].equals("orders") && posted) {
        take(exchange, body);
      } else if (path[0].equals("orders") && path.length == 2) {
        tell(exchange, path[1]);
      } else if (path[0].equals("sales") && posted) {
        create(exchange, body);
      } else if (path[0].equals("sales") && path.length == 2) {
        list(exchange, path[1]);
      } else {
        send(exchange, 404, "{\"error\": \"no such page\"}");
      }
    } catch (IOException gone) {
      send(exchange, 503, "{\"error\": \"Redis is gone\"}");
    }
  }

  /** POST /orders: 202 and the order's id, or 429 where too many wait. */
  static void take(HttpExchange exchange, String body) throws IOException {
    String id = UUID.randomUUID().toString();
    Order order = new Order(id, text(body, "sale"), text(body, "member"), System.nanoTime());
    STATES.put(order.id(), "PENDING");
    if (QUEUE.offer(order)) {
      send(exchange, 202, "{\"order\": {\"id\": \"" + order.id() + "\", \"state\": \"PENDING\"}}");
    } else {
      STATES.remove(order.id());
      send(exchange, 429, "{\"error\": \"too many orders wait\"}");
    }
  }

  static void tell(HttpExchange exchange, String id) throws IOException {
    String state = STATES.get(id);
    if (state == null) {
      send(exchange, 404, "{\"error\": \"no such order\"}");
    } else {
      send(exchange, 200, "{\"order\": {\"id\": \"" + id + "\", \"state\": \"" + state + "\"}}");
    }
  }

  /** How many orders wait, and for how long the oldest of them has: what a slow Redis does here. */
  static String metrics() {
    Order oldest = deciding;
    if (oldest == null) {
      oldest = QUEUE.peek();
    }
    double age = oldest == null ? 0 : (System.nanoTime() - oldest.takenNs()) / 1e9;
    int waiting = QUEUE.size() + (deciding == null ? 0 : 1);
    return "# TYPE orders_waiting gauge\norders_waiting " + waiting
        + "\n# TYPE orders_oldest_seconds gauge\norders_oldest_seconds " + age + "\n";
  }

  static void create(HttpExchange exchange, String body) throws IOException {
    String sale = text(body, "sale");
    String pieces = text(body, "pieces");
    new Redis(REDIS).once("MSET", "stock:" + sale, pieces, "left:" + sale, pieces);
    send(exchange, 201, "{\"sale\": \"" + sale + "\"}");
  }

  static void list(HttpExchange exchange, String sale) throws IOException {
    List<?> flat = (List<?>) new Redis(REDIS).once("HGETALL", "won:" + sale);
    Object stock = new Redis(REDIS).once("GET", "stock:" + sale);
    List<String> rows = new ArrayList<>();
    for (int at = 0; at < flat.size(); at += 2) {
      rows.add("{\"userId\": " + flat.get(at) + ", \"issueId\": \"" + flat.get(at + 1) + "\"}");
    }
    send(
        exchange,
        200,
        "{\"code\": \"" + sale + "\", \"stock\": " + (stock == null ? "0" : stock)
            + ", \"rows\": [" + String.join(", ", rows) + "]}");
  }

  /** The value of a key in a flat JSON object. */
  static String text(String json, String key) {
    Matcher found = Pattern.compile("\"" + key + "\"\\s*:\\s*\"?([^\",}\\s]+)").matcher(json);
    return found.find() ? found.group(1) : "";
  }

  static void send(HttpExchange exchange, int status, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    boolean json = text.startsWith("{");
    exchange.getResponseHeaders().set("Content-Type", json ? "application/json" : "text/plain");
    exchange.sendResponseHeaders(status, bytes.length);
    try (OutputStream out = exchange.getResponseBody()) {
      out.write(bytes);
    }
  }

  /** A connection to Redis that is made again where it broke. */
  static final class Redis {
    private final URI address;
    private Socket socket;
    private InputStream in;

    Redis(URI address) {
      this.address = address;
    }

    /** One answer. Throws IOException where it did not come; the command may have been done. */
    Object call(String... words) throws IOException {
      try {
        if (socket == null) {
          connect();
        }
        return exchange(words);
      } catch (IOException broken) {
        close();
        throw broken;
      }
    }

    /** One answer, and the connection is closed after it. */
    Object once(String... words) throws IOException {
      try {
        return call(words);
      } finally {
        close();
      }
    }

    private void connect() throws IOException {
      socket = new Socket();
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(5000);
      socket.connect(new InetSocketAddress(address.getHost(), address.getPort()), 1000);
      in = new BufferedInputStream(socket.getInputStream());
      String[] user = address.getUserInfo() == null ? new String[0] : address.getUserInfo().split(":");
      if (user.length == 2) {
        exchange("AUTH", user[1]);
      }
    }

    private void close() {
      try {
        if (socket != null) {
          socket.close();
        }
      } catch (IOException closed) {
        // It is gone: that is what was wanted.
      }
      socket = null;
    }

    private Object exchange(String... words) throws IOException {
      StringBuilder text = new StringBuilder("*" + words.length + "\r\n");
      for (String word : words) {
        int size = word.getBytes(StandardCharsets.UTF_8).length;
        text.append("$").append(size).append("\r\n").append(word).append("\r\n");
      }
      socket.getOutputStream().write(text.toString().getBytes(StandardCharsets.UTF_8));
      return answer();
    }

    private Object answer() throws IOException {
      String line = line();
      String rest = line.substring(1);
      switch (line.charAt(0)) {
        case '+':
        case ':':
          return rest;
        case '$':
          int size = Integer.parseInt(rest);
          if (size < 0) {
            return null;
          }
          byte[] bytes = in.readNBytes(size + 2);
          if (bytes.length < size + 2) {
            throw new IOException("Redis ended in the middle of an answer");
          }
          return new String(bytes, 0, size, StandardCharsets.UTF_8);
        case '*':
          List<Object> every = new ArrayList<>();
          for (int count = Integer.parseInt(rest); count > 0; count--) {
            every.add(answer());
          }
          return every;
        default:
          throw new IOException(rest);
      }
    }

    private String line() throws IOException {
      StringBuilder text = new StringBuilder();
      for (int one = in.read(); one != '\n'; one = in.read()) {
        if (one < 0) {
          throw new IOException("Redis closed the connection");
        }
        if (one != '\r') {
          text.append((char) one);
        }
      }
      return text.toString();
    }
  }
}
